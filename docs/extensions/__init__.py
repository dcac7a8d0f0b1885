"""What the site's build adds to Sphinx, one idea a file."""
