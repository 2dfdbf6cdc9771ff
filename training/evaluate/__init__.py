"""Judges the shipped model by pictures that the product's own pipeline made."""
