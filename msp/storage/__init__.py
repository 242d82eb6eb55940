"""Where a run keeps its objects: the store, the layout, and the records in it."""
