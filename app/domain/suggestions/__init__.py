"""What may be done with an item of the quarantine: suggestions by rules, never silent guesses."""
