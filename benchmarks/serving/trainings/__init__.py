"""Replacements of model/train.py: the estimators with which the servers are compared.

The linear model with one feature is model/train.py itself.
"""
