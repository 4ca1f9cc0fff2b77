"""Runs a plan against PostgreSQL and keeps the ledger: the one room of the engine that changes a database."""
