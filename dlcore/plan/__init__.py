"""Forecasts of memory, time and cost of a step on other hardware."""
