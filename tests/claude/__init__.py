"""The real agent CLI against the scripted model, without hyperhive between them."""
