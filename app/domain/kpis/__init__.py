"""The KPIs: what each one means, how a state is judged into facts, and why in words."""
