"""Fit one network: resume after a kill, and explain what ends a fit early."""
