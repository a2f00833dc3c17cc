"""The library of cohort queries: .cypher files that anyone can read and genograph runs by name."""
