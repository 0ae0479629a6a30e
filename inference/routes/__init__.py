"""The HTTP routes, who may call them, and what the OpenAPI document says of them."""
