"""Networks: building, weights, cuts."""
