"""Score folders of label maps, from any tool."""
