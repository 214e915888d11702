"""What Search knows: every type with its fields, by what they hold.

Drawn from the data dictionaries and samples of webex-contact-center-api-samples (commit 492c643), names and types only.
A test compares it with the contract, field by field.  A type in brackets is a list; ``plain`` ones cannot be sorted.
"""

from __future__ import annotations

# fmt: off

OBJECTS: dict[str, dict[str, str]] = {
    "PageInfo": {
        "plain Boolean": "hasNextPage",
        "plain String": "endCursor",
    },
    "AggregationResult": {
        "plain String": "name",
        "plain Float": "value",
    },
    "TaskDetails": {
        "String": (
            "id status channelType origin destination contactReason direction terminationType channelSubType "
            "outdialType cpaStatus recordingLocation preferredAgentSystemId terminationReason ivrScriptName "
            "ivrScriptTagName abandonedType contactHandleType firstQueueName terminatingEnd lastWrapUpCodeId "
            "lastWrapupCodeName botName emailBody emailContent emailContentType emailFullMessage "
            "emailMessageId emailRef emailReplyBody emailReplyContentType firstQueueId emailBccList "
            "emailCcList emailReplyTo emailToList routingType ivrScriptId ivrScriptTagId campaignId "
            "campaignName campaignStatus flowActivityName flowActivitySequence autoCsat previousAgentId "
            "previousAgentSessionId previousAgentName recordingStereoBlobId monitorFullName "
            "preferredAgentName transferEpDN topicName contactDriver sentiment"
        ),
        "Long": (
            "createdTime endedTime emailDate totalDuration conferenceDuration consultDuration holdDuration "
            "selfserviceDuration connectedDuration consultToQueueDuration wrapupDuration ringingDuration "
            "queueDuration consultToEPDuration outdialConsultToEPDuration pausedDuration recordingFileSize "
            "outdialConsultToQueueDuration monitoringTimestamp bargedInDuration totalBnrDuration "
            "lastActivityTime postCallDuration"
        ),
        "Customer": "customer",
        "Boolean": (
            "isActive isCampaign isCallback isHandledByPreferredAgent isEmailSent emailHasAttachments "
            "captureRequested isTranscriptionAvailable isWithInServiceLevel isContactOffered "
            "isContactEscalatedToQueue isOptOutOfQueue isContactHandled isOutdial isRecordingDeleted "
            "isMonitored isBarged isWithinSLA"
        ),
        "ChannelMetaData": "channelMetaData",
        "CallbackData": "callbackData",
        "Queue": "lastQueue previousQueue",
        "Site": "lastSite",
        "Team": "lastTeam",
        "EntryPoint": "lastEntryPoint",
        "Feedback": "feedback",
        "Agent": "lastAgent owner",
        "Int": (
            "abandonedSlCount agentHangupCount chainedInToEPCount chainedInToQueueCount epTransferToEPCount "
            "fullMonitoringCount ivrEndedCount midcallMonitoringCount csatScore blindTransferCount "
            "conferenceCount consultCount holdCount selfserviceCount connectedCount consultToQueueCount "
            "transferCount queueCount consultToEPCount outdialConsultToEPCount agentToDnTransferCount "
            "agentToAgentTransferCount callCompletedCount transferErrorCount outdialConsultToQueueCount "
            "outdialConsultCount overflowCount pausedCount queueTransferToEPCount queueTransferToQueueCount "
            "recordingCount recordingErrorCount resumedCount shortInIVRCount shortInQueueCount "
            "silentMonitoringCount suddenDisconnectCount totalMonitoringCount transferInToEPCount "
            "bargedInCount bargedInFailedCount agentTransferedInCount agentToEntrypointTransferCount "
            "agentToQueueTransferCount manualAssignCount contactPriority"
        ),
        "IntegerGlobalVariable": "integerGlobalVariables",
        "StringGlobalVariable": "stringGlobalVariables",
        "LongGlobalVariable": "longGlobalVariables",
        "DoubleGlobalVariable": "doubleGlobalVariables",
        "BooleanGlobalVariable": "booleanGlobalVariables",
        "plain JSON": "globalVariables matchedSkills requiredSkills",
        "plain String": "matchedSkillsProfile skillsAssignedIn",
        "[Queue]": "queue",
        "Activities": "activities",
        "[AggregationResult]": "aggregation",
        "plain Long": "intervalStartTime",
    },
    "Customer": {
        "String": "name phoneNumber email",
    },
    "ChannelMetaData": {
        "EmailMetaData": "email",
        "ChatMetaData": "chat",
        "plain String": "inBoundTranscript outBoundTranscript",
    },
    "EmailMetaData": {
        "String": "subject metadata",
    },
    "ChatMetaData": {
        "String": "chatReason",
    },
    "CallbackData": {
        "Long": "callbackRequestTime callbackConnectTime",
        "String": (
            "callbackNumber callbackStatus callbackOrigin callbackType callbackQueueName callbackAgentName "
            "callbackTeamName"
        ),
        "Int": "callbackRetryCount",
    },
    "Queue": {
        "String": "id name",
        "Long": "duration",
    },
    "Site": {
        "String": "id name",
    },
    "Team": {
        "String": "id name",
    },
    "EntryPoint": {
        "String": "id name",
    },
    "Feedback": {
        "String": "surveyOptIn type comment",
        "Int": "questionsAnswered questionsPresented",
        "Boolean": "surveyCompleted",
    },
    "Agent": {
        "String": "id name signInId sessionId phoneNumber channelId",
    },
    "IntegerGlobalVariable": {
        "String": "name",
        "Int": "value",
    },
    "StringGlobalVariable": {
        "String": "name value",
    },
    "LongGlobalVariable": {
        "String": "name",
        "Long": "value",
    },
    "DoubleGlobalVariable": {
        "String": "name",
        "Float": "value",
    },
    "BooleanGlobalVariable": {
        "String": "name",
        "Boolean": "value",
    },
    "Activity": {
        "plain String": (
            "id agentId agentName agentPhoneNumber agentSessionId agentChannelId entrypointId entrypointName "
            "queueId queueName siteId siteName teamId teamName transferType activityType activityName "
            "eventName previousState nextState consultEpId consultEpName childContactId childContactType "
            "destinationAgentId destinationAgentName destinationAgentSessionId destinationAgentChannelId "
            "destinationAgentTeamId destinationAgentTeamName destinationQueueName destinationQueueId "
            "terminationReason ivrScriptId ivrScriptName ivrScriptTagId ivrScriptTagName bnrMode "
            "skillsAssignedIn"
        ),
        "plain Boolean": "isActive",
        "Long": "createdTime endedTime",
        "plain Long": "duration destinationAgentPhoneNumber lastActivityTime",
        "Boolean": "emailHasAttachments",
        "String": "contactAssignmentType",
    },
    "TaskLegDetails": {
        "String": (
            "id taskId status contactState destination origin channelType channelSubType direction "
            "ivrScriptId ivrScriptName ivrScriptTagId ivrScriptTagName terminatingEnd terminationReason "
            "preferredAgentSystemId preferredAgentName routingType callType lastWrapupCodeName abandonedType "
            "handleType slaValue consultEpId consultEpName childContactId childContactType transferEpDN"
        ),
        "Long": (
            "createdTime endedTime lastActivityTime ringingDuration wrapupDuration optOutOfQueueTimestamp "
            "connectedDuration holdDuration consultDuration outdialConsultDuration outdialConferenceDuration "
            "conferenceDuration selfserviceDuration consultToQueueDuration outdialConsultToQueueDuration "
            "handleTime consultToEPDuration outdialConsultToEPDuration postCallDuration"
        ),
        "Boolean": (
            "isActive isWithinServiceLevel isHandledByPreferredAgent isOutdial isTaskLegHandled "
            "isOptOutOfQueue"
        ),
        "EntryPoint": "entryPoint",
        "Queue": "queue",
        "Agent": "owner",
        "Site": "site",
        "Team": "team",
        "Customer": "customer",
        "Int": (
            "blindTransferCount transferCount queueCount transferErrorCount taskLegCount connectedCount "
            "holdCount outdialConsultCount outdialConferenceCount selfserviceCount consultToQueueCount "
            "outdialConsultToQueueCount consultToEPCount outdialConsultToEPCount abandonedSlCount "
            "agentToDnTransferCount agentTransferedInCount consultToQueueHandledCount "
            "outdialConsultToQueueHandledCount interQueueBlindTransferCount interQueueConsultTransferCount "
            "consultSuccessCount conferenceSuccessCount blindTransferToAgentCount consultToAgentErrorCount "
            "consultToQueueErrorCount outdialConsultToQueueErrorCount consultToEpErrorCount "
            "consultToDnErrorCount manualAssignCount"
        ),
        "NextDestination": "nextDestination",
        "IntegerGlobalVariable": "integerGlobalVariables",
        "StringGlobalVariable": "stringGlobalVariables",
        "LongGlobalVariable": "longGlobalVariables",
        "DoubleGlobalVariable": "doubleGlobalVariables",
        "BooleanGlobalVariable": "booleanGlobalVariables",
        "plain JSON": "matchedSkills requiredSkills",
        "plain String": "matchedSkillsProfile skillsAssignedIn queuedTo",
        "[AggregationResult]": "aggregation",
        "plain Long": "intervalStartTime",
    },
    "NextDestination": {
        "Agent": "agent",
        "Team": "team",
        "Queue": "queue",
    },
    "Activities": {
        "plain Int": "totalCount",
        "[Activity]": "nodes",
        "PageInfo": "pageInfo",
    },
}
# fmt: on

LISTS = {
    "TaskDetailsList": {"[TaskDetails]": "tasks", "PageInfo": "pageInfo"},
    "TaskList": {"[TaskDetails]": "tasks", "PageInfo": "pageInfo"},
    "TaskLegDetailsList": {"[TaskLegDetails]": "taskLegs", "PageInfo": "pageInfo"},
}
# Which fields of a type cannot be filtered by; of all others the filter follows from the field's own type.
UNFILTERED: dict[str, str] = {
    "TaskDetails": (
        "createdTime recordingLocation conferenceDuration consultDuration consultToQueueDuration consultToEPCount "
        "consultToEPDuration outdialConsultToEPDuration autoCsat globalVariables queue activities aggregation "
        "intervalStartTime"
    ),
    "TaskLegDetails": "createdTime endedTime aggregation intervalStartTime",
    "Activity": "bnrMode",
}
ENUMS: dict[str, str] = {
    "QueryTimeType": "createdTime endedTime",
    "Sort": "asc desc",
    "AggregationType": "count min max sum average cardinality",
    "Interval": "FIFTEEN_MINUTES THIRTY_MINUTES HOURLY DAILY WEEKLY MONTHLY",
    "ChannelType": "telephony email chat social",
}
