"""Steps that run as several processes: what clients write of that, and how they are started."""
