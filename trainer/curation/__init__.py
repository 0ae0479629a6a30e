"""What stands between checked tickets and a training: looked at, mapped, enriched by vectors and unlabelled tickets."""
