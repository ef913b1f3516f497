"""HTTP only: typed input, one service call, a response."""
