"""Tests of dlcore.export."""
