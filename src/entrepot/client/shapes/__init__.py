"""Between YAML and REST, pure: `*_bodies` make what is sent, `*_views` make what `az ml` prints of an answer."""
