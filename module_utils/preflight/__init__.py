"""The checks that stand before a deployment. Each is a function from facts to results."""
