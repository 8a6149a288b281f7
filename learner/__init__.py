"""The online learner: text encoder, behaviour transformer, adapters, prequential learning."""
