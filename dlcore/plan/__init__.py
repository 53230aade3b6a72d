"""Forecasts: what a step will cost on hardware that is not there."""
