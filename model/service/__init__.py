"""Everything around the model that stays when the model is replaced."""
