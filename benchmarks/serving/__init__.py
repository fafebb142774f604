"""How fast, small and soon ready the prediction service is, beside what else serves models."""
