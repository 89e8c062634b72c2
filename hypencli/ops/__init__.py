"""Operations: the only layer where models meet the store."""
