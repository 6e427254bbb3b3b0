"""Operations as people write them: names and plain units in, canonical calls out."""
