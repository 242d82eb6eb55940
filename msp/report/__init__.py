"""What a person reads after a run: report.html and the dataset card."""
