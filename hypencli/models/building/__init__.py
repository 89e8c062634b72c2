"""New models, built from a specification, with a new, transplanted or fitted hyper-head."""
