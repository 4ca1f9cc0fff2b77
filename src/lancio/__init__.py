"""PostgreSQL migrations that know what they depend on, and the platform they build."""

__version__ = "0.1.0"
