"""What developers run beside the product: dev server, demo, captures."""
