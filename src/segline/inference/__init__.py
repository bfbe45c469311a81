"""Use a trained network: save and load it, predict masks, draw overlays."""
