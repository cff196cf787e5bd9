# Schlüssel liegen in C:\trade2025\trading\secrets
Set-Location 'C:\trade2025\trading\apps\authn'
python -m authn	 
