"""Training files and datasets: check, negative mining, teacher scores, preparation."""
