"""Pre-training of the small LM: text and annotated utterances in, a Llama model out."""
