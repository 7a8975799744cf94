"""The names of Azure's regions, so that a misspelled one is told from a region of one's own.

https://learn.microsoft.com/azure/reliability/regions-list, and of the clouds for governments and China.
"""

_NAMES = """
australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral brazilsouth
brazilsoutheast brazilus canadacentral canadaeast centralindia centralus centraluseuap chilecentral chinaeast
chinaeast2 chinaeast3 chinanorth chinanorth2 chinanorth3 denmarkeast eastasia eastus eastus2 eastus2euap eastus3
eastusstg francecentral francesouth germanycentral germanynortheast germanynorth germanywestcentral indiasouthcentral
indonesiacentral israelcentral israelnorthwest italynorth japaneast japanwest jioindiacentral jioindiawest
koreacentral koreasouth malaysiasouth malaysiawest mexicocentral newzealandnorth northcentralus northeurope norwayeast
norwaywest polandcentral qatarcentral southafricanorth southafricawest southcentralus southcentralusstg southeastasia
southeastus southindia spaincentral swedencentral swedensouth switzerlandnorth switzerlandwest taiwannorth
taiwannorthwest uaecentral uaenorth uksouth ukwest usdodcentral usdodeast usgovarizona usgoviowa usgovtexas
usgovvirginia usnateast usnatwest usseceast ussecwest ussecwestcentral westcentralus westeurope westindia westus
westus2 westus3
"""
AZURE_REGIONS = frozenset(_NAMES.split())
