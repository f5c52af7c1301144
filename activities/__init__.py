"""The activities: everything a send does outside of its workflow."""
