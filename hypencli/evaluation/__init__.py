"""Pure functions on runs and judgements: measures, p-MRR, fusion."""
