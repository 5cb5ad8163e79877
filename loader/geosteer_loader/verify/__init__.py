"""Is what is published whole, and is it what the sources say?"""
