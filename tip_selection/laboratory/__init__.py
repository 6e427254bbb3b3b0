"""A laboratory for tip selection: tangles that grow by chance, by the selectors that nodes use."""
