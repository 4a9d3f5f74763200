"""Evolution without a framework: genomes, members and their lineage, fitness, and the cycle that renews all."""
