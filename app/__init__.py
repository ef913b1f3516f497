"""Servicelane: the after-sales desk of a car dealership, as a service."""
