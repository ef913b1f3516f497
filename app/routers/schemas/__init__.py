"""Bodies of requests and answers, a module per router."""
