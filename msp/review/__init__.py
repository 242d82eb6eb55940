"""What people say of candidates, and how it counts: the page, the decisions, the gold."""
