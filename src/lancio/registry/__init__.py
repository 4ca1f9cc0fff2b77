"""What is known of every database: the platform's schema, and how its credentials are sealed."""
