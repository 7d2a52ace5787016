//! Components: `component.toml`, recipes, and the images they become.
