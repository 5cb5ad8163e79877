"""Redirection over HTTP and for Squid."""
