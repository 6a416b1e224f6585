"""The bundled static text embedder: distilled from a sentence-embedding teacher into a table of piece vectors."""
