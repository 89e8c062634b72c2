"""New models: built by a specification, with a head that is transplanted or fitted."""
