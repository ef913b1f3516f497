"""The made-up life of a shop: what `servicelane demo` posts and what benchmarks feed on."""
