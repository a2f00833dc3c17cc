"""Two engines and pandas answer the same generated queries; whatever differs is a finding."""
