"""Measurements of a running server, made from outside it: what a caller hears and when."""
