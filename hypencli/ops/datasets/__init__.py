"""Training files and datasets: checked, mined, scored by teachers, prepared."""
