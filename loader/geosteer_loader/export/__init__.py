"""Files for other name servers, and for workers, made of what is published."""
