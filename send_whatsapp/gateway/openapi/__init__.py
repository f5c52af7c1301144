"""The OpenAPI document: what it says about each route, with schemas and examples."""
